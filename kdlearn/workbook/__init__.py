"""What `kdlearn check` knows of the workbook: each function as it must be, and the mistakes that are usually made."""
