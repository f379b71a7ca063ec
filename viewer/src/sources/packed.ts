// From base64 of little-endian bytes to numbers.

import type { Packed, ViewDocument } from "../document";
import type { Table } from "../source";

const BYTES = { float32: 4, float16: 2, int32: 4 };

/** Bytes of arrays that were compressed (`inflate`). */
const inflated = new WeakMap<Packed, Uint8Array<ArrayBuffer>>();

function decoded(data: string): Uint8Array<ArrayBuffer> {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Expand what is compressed, once and before any number is read: browsers do it in the background. */
export async function inflate(document: ViewDocument): Promise<void> {
  const parts = document.captures.flatMap(({ views }) =>
    views ? [views.maps, views.masses, views.uniform, views.rows?.values] : [],
  );
  for (const packed of parts) {
    if (packed?.codec && !inflated.has(packed)) inflated.set(packed, joined(await expanded(packed), BYTES[packed.dtype]));
  }
}

async function expanded(packed: Packed): Promise<Uint8Array> {
  if (packed.codec !== "deflate") throw new Error(`This viewer does not know the compression ${packed.codec}.`);
  if (!("DecompressionStream" in globalThis)) throw new Error("It needs a browser of 2023 or later.");
  const stream = new Blob([decoded(packed.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Bytes that stand by their place in the number, back in the order of the numbers. */
function joined(planes: Uint8Array, width: number): Uint8Array<ArrayBuffer> {
  const count = Math.floor(planes.length / width);
  const bytes = new Uint8Array(count * width);
  for (let place = 0; place < width; place += 1) {
    for (let i = 0; i < count; i += 1) bytes[i * width + place] = planes[place * count + i] ?? 0;
  }
  return bytes;
}

/** The numbers of an array, float16 widened. Throws where the bytes are not those of the shape. */
export function unpack(packed: Packed): Float32Array | Int32Array {
  const bytes = packed.codec ? inflated.get(packed) : decoded(packed.data);
  if (!bytes) throw new Error("The page's data are still compressed.");
  const count = packed.shape.reduce((product, size) => product * size, 1);
  if (!(packed.dtype in BYTES) || bytes.length !== count * BYTES[packed.dtype]) {
    throw new Error(
      `The page's data are damaged: ${bytes.length} bytes for ${packed.dtype} of shape ${packed.shape.join(" x ")}.`,
    );
  }
  return numbers(bytes.buffer, packed.dtype);
}

/** Little-endian bytes as numbers, whatever the machine's own order. */
export function numbers(bytes: ArrayBuffer, dtype: Packed["dtype"]): Float32Array | Int32Array {
  const view = new DataView(bytes);
  const count = Math.floor(bytes.byteLength / BYTES[dtype]);
  if (dtype === "int32") return Int32Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true));
  if (dtype === "float32") return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
  return Float32Array.from({ length: count }, (_, i) => half(view.getUint16(2 * i, true)));
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 0x1f;
  const part = bits & 0x3ff;
  if (power === 0) return sign * part * 2 ** -24;
  if (power === 31) return part ? NaN : sign * Infinity;
  return sign * (1 + part / 1024) * 2 ** (power - 15);
}

export function floats(packed: Packed): Float32Array {
  const values = unpack(packed);
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

export function integers(packed: Packed): Int32Array {
  const values = unpack(packed);
  return values instanceof Int32Array ? values : Int32Array.from(values);
}

/** The table [rows, columns] at a place of the first axis of an array [n, rows, columns]. */
export function slice(values: Float32Array, shape: number[], at: number): Table {
  const [, rows = 0, columns = 0] = shape;
  return { rows, columns, values: values.subarray(at * rows * columns, (at + 1) * rows * columns) };
}

/** A function that is computed once for each array. */
export function once<K extends object, V>(compute: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    const old = known.get(key);
    if (old !== undefined) return old;
    const value = compute(key);
    known.set(key, value);
    return value;
  };
}

/** As `floats` and `integers`, unpacked once. */
export const floatsOf = once(floats);
export const integersOf = once(integers);
