"""What every page is made of: tables, figures, templates, printed numbers."""
