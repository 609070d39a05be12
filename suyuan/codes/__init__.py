"""What is printed on a box: every code system in use, recognised, checked and drawn."""
