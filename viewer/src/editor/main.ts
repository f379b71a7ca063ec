// The entry of the editor's own file: reports do not hold what only a server can serve.

import { mountEditor } from ".";

const element = document.getElementById("attnscope-editor");
if (element) mountEditor(element);
