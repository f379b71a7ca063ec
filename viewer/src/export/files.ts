// Files that the page saves: CSV as RFC 4180 has it, and a name that every system takes.

import { exact } from "../numbers";

/**
 * A table as CSV. Numbers are written in full; what is not defined is empty. A text that a spreadsheet would take for a
 * formula (it begins with = + - @ or a control letter) gets an apostrophe before it.
 */
export function csv(titles: string[], rows: (string | number | null)[][]): string {
  return [titles, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return exact(value);
  const guarded = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

export function saveName(...parts: string[]): string {
  const clean = (part: string) => part.normalize("NFKD").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return parts.map(clean).filter(Boolean).join("-").slice(0, 120) || "attnscope";
}

export function save(content: string | Blob, name: string, kind = "text/plain"): void {
  const blob = typeof content === "string" ? new Blob([content], { type: `${kind};charset=utf-8` }) : content;
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
