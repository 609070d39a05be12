"""The same facts as columns: the feed sealed into sorted Parquet segments, and questions over them."""
