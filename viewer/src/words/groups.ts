// The prompt as a reader knows it: turns, the question, the answer, and the rest.

import type { CaptureView, Stage, Token, Turn } from "../document";

export interface TurnWords {
  turn: Turn;
  tokens: Token[];
  /** How many of the first tokens only name the speaker ("Ann:"). */
  label: number;
}

/** Turns with their tokens; a turn that is not in the prompt has none. */
export function turnsOf(stage: Stage, capture: CaptureView): TurnWords[] {
  const byTurn = new Map<number, Token[]>();
  for (const token of capture.tokens) {
    if (token.turn < 0) continue;
    const list = byTurn.get(token.turn);
    if (list) list.push(token);
    else byTurn.set(token.turn, [token]);
  }
  return stage.turns.map((turn) => {
    const tokens = byTurn.get(turn.index) ?? [];
    return { turn, tokens, label: labelLength(tokens, turn.speaker) };
  });
}

/** How many tokens write the speaker's name and the colon before a turn's text; 0 where the prompt has no such label. */
function labelLength(tokens: Token[], speaker: string | null): number {
  if (!speaker) return 0;
  let text = "";
  for (let at = 0; at < tokens.length; at += 1) {
    text += tokens[at]?.text ?? "";
    const seen = text.trim();
    if (seen === `${speaker}:`) return at + 1;
    if (!`${speaker}:`.startsWith(seen)) return 0;
  }
  return 0;
}

/** Tokens of a role, those of turns left out. */
export function tokensOf(capture: CaptureView, role: string): Token[] {
  return capture.tokens.filter((token) => token.role === role && token.turn < 0);
}

/** The whole prompt: tokens, and between them how many tokens of the video are left out. */
export function promptOf(capture: CaptureView): (Token | number)[] {
  const out: (Token | number)[] = [];
  let next = 0;
  for (const token of capture.tokens) {
    if (token.position > next) out.push(token.position - next);
    out.push(token);
    next = token.position + 1;
  }
  return out;
}

/** A special token as a small mark: its name without brackets; null for an ordinary one. */
export function markOf(token: Token): string | null {
  if (token.text === "") return "·"; // a part of a letter that another token shows
  if (/^\s*$/.test(token.text)) return token.text.includes("\n") ? "↵" : null;
  const special =
    /^<[|｜]?(.{1,40}?)[|｜]?>$/.exec(token.text.trim()) ?? /^\[([A-Z_/]{2,20})\]$/.exec(token.text.trim());
  return token.modality === "special" && special ? (special[1] ?? null) : null;
}
