"""What the package holds, found in the code itself: every loss and every method. Tests and pages go over these.

`losses` finds the losses by the word above them, `recipes` writes every method as an expression in the algebra,
and `measured` holds each method once more, as an arm of a trial. Nobody imports this to distil.
"""
