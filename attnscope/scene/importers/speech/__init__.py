"""Who speaks when, and what is said: subtitles, diarisation, recognisers and annotation tools, one file a format."""

from attnscope.scene.importers.speech import subtitles as subtitles
