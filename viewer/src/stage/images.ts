// Pictures of frames, decoded once.

import { useEffect, useState } from "preact/hooks";
import type { CaptureView, Stage } from "../document";

const known = new Map<string, HTMLImageElement>();
const MOST = 400; // pictures kept

/** A picture's address: that of what this capture's model was shown, where it is another one than the stage's. */
export function addressOf(stage: Stage, capture: CaptureView | undefined, frame: number): string | null {
  return capture?.images?.[frame] ?? stage.frames[frame]?.image ?? null;
}

function fetched(address: string): HTMLImageElement {
  const old = known.get(address);
  if (old) return old;
  if (known.size >= MOST) known.delete(known.keys().next().value as string);
  const image = new Image();
  image.decoding = "async";
  image.src = address;
  known.set(address, image);
  return image;
}

/** Whether a picture can be drawn. */
function ready(image: HTMLImageElement): boolean {
  return image.complete && image.naturalWidth > 0;
}

/** Ask for pictures that will be shown soon. */
export function preload(addresses: (string | null)[]): void {
  for (const address of addresses) if (address) fetched(address);
}

/** The picture at an address once it can be drawn; until then null. `failed` where it cannot be read. */
export function useImage(address: string | null): { image: HTMLImageElement | null; failed: boolean } {
  const [, redraw] = useState(0);
  const image = address ? fetched(address) : null;
  const complete = image?.complete ?? true;
  useEffect(() => {
    if (!image || complete) return;
    const done = () => redraw((count) => count + 1);
    if (image.complete) return done(); // since it was drawn
    image.addEventListener("load", done);
    image.addEventListener("error", done);
    return () => {
      image.removeEventListener("load", done);
      image.removeEventListener("error", done);
    };
  }, [image, complete]);
  if (!image) return { image: null, failed: false };
  return { image: ready(image) ? image : null, failed: image.complete && !ready(image) };
}
