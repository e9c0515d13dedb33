"""Where documents, vectors and words are kept."""

from thought1.store.deferred import defer

# LanceDB imports the models of this client, whose __init__ builds all the calls of its REST API as
# well: half a second at every start, for servers that are not used here.
defer("lance_namespace_urllib3_client")
