"""The quality report as a site: pages of what the gate saw, of many nights. Rows in, HTML out."""
