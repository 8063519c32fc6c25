"""What commands write: tables, JSON, CSV, and images beside images."""
