// The stage, for the shell: its panel and its style.

export { StagePanel } from "./panel";
export { default as stageStyle } from "./stage.css";
