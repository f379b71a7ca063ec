// Fields of forms: what was typed counts when it is a number, and what is wrong stands below the field.

import { useEffect, useId, useRef, useState } from "preact/hooks";

interface NumberProps {
  label: string;
  value: number | null;
  onValue: (value: number | null) => void;
  problem?: string;
  empty?: boolean; // whether it may be left empty
  step?: number;
  min?: number;
  max?: number;
  digits?: number;
}

/** A number. It is taken as soon as it is one; arrow keys change it by a step. */
export function NumberField({ label, value, onValue, problem = "", empty = false, step = 1, digits = 3, min, max }: NumberProps) {
  const shown = value === null ? "" : String(Number(value.toFixed(digits)));
  const [text, setText] = useState(shown);
  const focused = useRef(false);
  const id = useId();
  useEffect(() => {
    if (!focused.current || Number(text) !== value) setText(shown);
  }, [shown]);
  const wrong = text.trim() === "" ? !empty : !isNumber(text);
  const take = (typed: string) => {
    setText(typed);
    if (typed.trim() === "") {
      if (empty) onValue(null);
    } else if (isNumber(typed)) onValue(Number(typed.replace(",", ".")));
  };
  const said = wrong ? (text.trim() === "" ? "is empty" : "is not a number") : problem;
  return (
    <div class="field number">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        inputMode="decimal"
        value={text}
        aria-invalid={said !== ""}
        aria-describedby={said ? `${id}-wrong` : undefined}
        onFocus={() => (focused.current = true)}
        onBlur={() => {
          focused.current = false;
          setText(shown);
        }}
        onInput={(event) => take(event.currentTarget.value)}
        onKeyDown={(event) => {
          const sign = { ArrowUp: 1, ArrowDown: -1 }[event.key];
          if (!sign) return;
          event.preventDefault();
          const next = (value ?? 0) + sign * step * (event.shiftKey ? 10 : 1);
          take(String(Number(Math.min(Math.max(next, min ?? -Infinity), max ?? Infinity).toFixed(digits))));
        }}
      />
      <Wrong id={`${id}-wrong`} text={said} />
    </div>
  );
}

const isNumber = (text: string): boolean => /^\s*-?\d*[.,]?\d+\s*$|^\s*-?\d+[.,]\s*$/.test(text);

interface TextProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  /** When the field is left, with the value that it had when it was entered. */
  onLeave?: (before: string, after: string) => void;
  problem?: string;
  rows?: number; // of a field of several lines
  hidden?: boolean; // the label is for screen readers alone
  input?: { current: HTMLInputElement | HTMLTextAreaElement | null };
}

export function TextField({ label, value, onValue, problem = "", rows, hidden = false, input, onLeave }: TextProps) {
  const id = useId();
  const entered = useRef(value);
  const shared = {
    id,
    value,
    "aria-invalid": problem !== "",
    "aria-describedby": problem ? `${id}-wrong` : undefined,
    onInput: (event: { currentTarget: { value: string } }) => onValue(event.currentTarget.value),
    onFocus: () => {
      entered.current = value;
    },
    onBlur: (event: { currentTarget: { value: string } }) => onLeave?.(entered.current, event.currentTarget.value),
    ref: (element: HTMLInputElement | HTMLTextAreaElement | null) => {
      if (input) input.current = element;
    },
  };
  return (
    <div class="field text">
      <label for={id} class={hidden ? "hidden" : ""}>
        {label}
      </label>
      {rows ? (
        <textarea rows={rows} {...shared} />
      ) : (
        <input type="text" {...shared} />
      )}
      <Wrong id={`${id}-wrong`} text={problem} />
    </div>
  );
}

export function Wrong({ id, text }: { id?: string; text: string }) {
  return text ? (
    <span class="wrong" id={id}>
      {text}
    </span>
  ) : null;
}
