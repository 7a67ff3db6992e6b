"""What the package holds, found in the code itself: every loss, equation and method. Tests and pages go over these.

`losses` finds the losses by the word above them, `equations` reads labels from docstrings, `recipes`
writes every method as an expression in the algebra, and `methods` makes their page. Nobody imports
this to distil; `python docs/pages.py` writes the pages, in a clone.
"""
