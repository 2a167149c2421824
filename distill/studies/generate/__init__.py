"""A generator that turns images into other classes, and a smaller one."""
