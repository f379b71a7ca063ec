"""Who is where: boxes from annotation tools, trackers and detectors of active speakers, one file a format."""

from attnscope.scene.importers.boxes import ava as ava
from attnscope.scene.importers.boxes import coco as coco
from attnscope.scene.importers.boxes import cvat as cvat
from attnscope.scene.importers.boxes import label_studio as label_studio
from attnscope.scene.importers.boxes import mot as mot
from attnscope.scene.importers.boxes import talknet as talknet
