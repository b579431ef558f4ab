"""From the folder of a run to report.html: what tools.report is made of."""
