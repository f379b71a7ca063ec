// The words, for the shell: their panel and their style.

export { WordsPanel } from "./panel";
export { default as wordsStyle } from "./words.css";
