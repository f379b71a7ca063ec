"""How the records of importers become scenes: joined by clip and time, checked, counted and written.

`run` reads the sources into a spool on disk and goes through the clips; `segments` makes speakers of boxes, `turns`
makes turns of speech, `scenes` puts a clip together, `tally` counts.
"""
