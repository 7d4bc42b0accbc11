"""What every page is made of: tables, figures, templates, numbers as they are printed."""
