// How numbers are written: the rules of attnscope/report/page/numbers.py, so that one number reads the same everywhere.

const MINUS = "−";

/** A float as digits and power of ten, rounded half to even as Python does: 0.03125 to 3 digits is 0.0312. */
function scientific(size: number, digits: number): [mantissa: string, power: number] {
  const [mantissa = "0", power = "0"] = size.toExponential(digits - 1).split("e");
  const exact = size.toExponential(60);
  const rest = exact.replace(".", "").slice(digits, exact.indexOf("e") - 1);
  const last = Number(mantissa.at(-1));
  if (/^50*$/.test(rest) && last % 2) {
    // JavaScript rounds a tie up: take the even neighbour; its last digit was even, so nothing is carried
    return [mantissa.slice(0, -1) + (last - 1), Number(power)];
  }
  return [mantissa, Number(power)];
}

/** A number with so many decimals, rounded half to even likewise. */
function fixed(value: number, places: number): string {
  const text = value.toFixed(places);
  const rest = value.toFixed(60).slice(text.length + (places ? 0 : 1));
  const last = Number(text.at(-1));
  return /^50*$/.test(rest) && last % 2 ? text.slice(0, -1) + (last - 1) : text;
}

/** Python's format "g": significant digits without zeros at the end, a power of ten where the number is large. */
function general(size: number, digits: number): string {
  if (size === 0) return "0";
  const [mantissa, power] = scientific(size, digits);
  const plain = (text: string) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power < -4 || power >= digits) {
    const sign = power < 0 ? "-" : "+";
    return `${plain(mantissa)}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  const figures = mantissa.replace(".", "");
  if (power < 0) return plain(`0.${"0".repeat(-power - 1)}${figures}`);
  const whole = figures.slice(0, power + 1);
  return plain(`${whole}.${figures.slice(power + 1)}`).replace(/\.$/, "");
}

/**
 * A number for a cell: significant digits, a dash where it is not defined.
 * What is not 1 is not written as 1, which stands for certainty, chance and no change.
 */
export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : "";
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [mantissa, power] = scientific(size, digits);
    return `${sign}${mantissa}e${String(power).replace("-", MINUS)}`;
  }
  while (size !== 1 && Number(general(size, digits)) === 1 && digits < 9) digits += 1;
  return sign + general(size, digits).replace("-", MINUS);
}

/** A change: as `number`, with its sign. */
export function signed(value: number | null | undefined, digits = 3): string {
  const text = number(value, digits);
  return typeof value === "number" && value > 0 ? `+${text}` : text;
}

const RISE = 1e-6; // of a number: what changed by less changed by rounding

/** The change from one number to another, with its sign; 0 where it is no more than rounding of what changed. */
export function changed(before: number | null | undefined, after: number | null | undefined, digits = 3): string {
  if (typeof before !== "number" || typeof after !== "number") return "—";
  const change = after - before;
  if (Math.abs(change) <= RISE * Math.max(Math.abs(before), Math.abs(after))) return "0";
  return signed(change, digits);
}

/** A unit in words. */
export function unitInWords(unit: string): string {
  return unit === "1" || unit === "" ? "none (a ratio or a share)" : unit;
}

/** A share in percent; what is not 0 and not all is not written as such. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return "—";
  if (share > 0 && share < 1e-4) return "< 0.01 %";
  if (share < 1 && share > 1 - 1e-4) return "> 99.99 %";
  return `${fixed(100 * share, share === 0 || share === 1 ? 0 : 2)} %`;
}

/** A float32 in full: the fewest digits that give the very same float32 back; empty where it is not defined. */
export function exact(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Math.fround(value) === value) {
    for (let digits = 1; digits <= 9; digits += 1) {
      const text = Number(value.toPrecision(digits));
      if (Math.fround(text) === value) return String(text);
    }
  }
  return String(value);
}

/** A count with thousands separators. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}
