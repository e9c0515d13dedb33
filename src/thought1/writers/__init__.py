"""Writers of thoughts that are no T1: what `contracts.ThoughtWriter` promises, a file each."""
