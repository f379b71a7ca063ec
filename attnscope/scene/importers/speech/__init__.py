"""Who speaks when, and what is said: subtitles, diarisation, recognisers and annotation tools, one file a format."""

from attnscope.scene.importers.speech import elan as elan
from attnscope.scene.importers.speech import rttm as rttm
from attnscope.scene.importers.speech import subtitles as subtitles
from attnscope.scene.importers.speech import textgrid as textgrid
from attnscope.scene.importers.speech import whisper as whisper
