"""`attnscope view`: a page over captures, served to this machine alone; and the same page in a notebook.

`guard` decides who is answered, `page` is the page, `serve` runs the server. What a page can ask is a list of routes:
`captures` has those of the viewer. The server needs the extra `attnscope[view]`, the notebook `attnscope[notebook]`.
"""
