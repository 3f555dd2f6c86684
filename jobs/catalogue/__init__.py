"""What there is: tables and columns as declared, what a root holds of them, and where each comes from and goes."""
