"""Who is where: boxes from annotation tools, trackers and detectors of active speakers, one file a format."""
