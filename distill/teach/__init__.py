"""Training: networks, teacher, assistants, generator, stages, kept answers.

Whatever is trained goes through `stages.train` or `fit.fit`, and through them through
`runtime.resume`, so that it may be killed at any step and ends with the same bytes.
"""
