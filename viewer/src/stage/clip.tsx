// The clip itself, with its sound, where a server gives it: heard, and drawn frame by frame on the stage's canvas.

import { useEffect, useState } from "preact/hooks";

interface Props {
  address: string;
  sound: boolean;
  /** The element once the clip can be played; null where it cannot, with why. */
  onClip: (clip: HTMLVideoElement | null, fault: string) => void;
}

const FAULT =
  "The browser cannot play this clip, so that only the frames that the model was shown are played, without sound.";

export function Clip({ address, sound, onClip }: Props) {
  const [element, setElement] = useState<HTMLVideoElement | null>(null);
  useEffect(() => () => onClip(null, ""), [address]);
  useEffect(() => {
    if (element) element.muted = !sound;
  }, [element, sound]);
  return (
    <video
      ref={setElement}
      class="stage-clip"
      src={address}
      playsInline
      preload="auto"
      tabIndex={-1}
      aria-hidden="true"
      onLoadedMetadata={(event) => onClip(event.currentTarget, "")}
      onError={() => onClip(null, FAULT)}
    />
  );
}
