"""`t1 report`: result files below a folder as one HTML page that needs no network.

    from thought1.evaluation.report.page import render_page
    from thought1.evaluation.report.reading import read_results

    page = render_page(read_results(Path("results")), "Results")

Reading is `reading`; what belongs together, `grouping`; each part of the page has its own file;
`plots` draws, `markup` escapes, style.css and page.js are the look and the sorting of tables.
"""
