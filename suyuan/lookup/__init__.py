"""What people may see: the citizen's answer, a box's story, the totals."""
