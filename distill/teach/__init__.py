"""Training: networks, teacher, assistants, generator, stages, cached answers.

All training goes through `stages.train` or `fit.fit`, and these through
`runtime.resume`, so that a run killed at any step ends with the same bytes.
"""
