"""What is known of a library or program, and what is found: facts, findings, reports. The contract between readers, comparisons and reports."""
