"""Manifests: one line a question, with its scene inside, or with the path of a scene file that many questions share.

docs/eval.md specifies the lines for users. `fields` says what stands where, `reading` and `writing` follow it, and
`checking` finds all that is wrong.
"""
