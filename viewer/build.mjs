// Build the two files that the package ships, ES modules with their style inside: the viewer, which every page holds, and
// the scene editor, which only the server has.
//   node build.mjs            write them
//   node build.mjs --check    exit 1 where a file that is there is another one
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const here = new URL(".", import.meta.url);
const BUILT = { "viewer.js": "src/main.tsx", "editor.js": "src/editor/main.ts" };

/** A digest of all that the built file is made from: tests/viewer compares it without node. */
async function digestOfSources() {
  const inside = await readdir(new URL("src/", here), { recursive: true, withFileTypes: true });
  const sources = inside.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`);
  const names = sources.map((path) => path.slice(here.pathname.length).replaceAll("//", "/"));
  const hash = createHash("sha256");
  for (const name of [...names, "build.mjs", "package-lock.json", "tsconfig.json"].sort()) {
    const bytes = await readFile(new URL(name, here));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

/** The licences of the packages that went in: they ask to go along with every copy. */
async function licences(inputs) {
  const packages = Object.keys(inputs).map((path) => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]);
  const texts = [];
  for (const folder of [...new Set(packages.filter(Boolean))].sort()) {
    const text = await readFile(new URL(`${folder}/LICENSE`, here), "utf8");
    texts.push(`/*! ${folder.slice("node_modules/".length)}\n${text.trim().replaceAll("*/", "* /")}\n*/\n`);
  }
  return texts.join("");
}

/** Styles are text in the built file: without comments and spaces. */
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "es2022" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

async function built(entry) {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    charset: "utf8",
    legalComments: "none", // licences() writes them whole
    jsx: "automatic",
    jsxImportSource: "preact",
    plugins: [styles],
    write: false,
    metafile: true,
    absWorkingDir: here.pathname,
  });
  // The file stands inside of pages: nothing in it may end a script element.
  const body = ((await licences(metafile.inputs)) + outputFiles[0].text)
    .replaceAll("</script", "<\\/script")
    .replaceAll("<!--", "<\\!--");
  const digest = createHash("sha256").update(body).digest("hex");
  return `// The viewer of attnscope, built by \`make viewer\`. sources ${await digestOfSources()} body ${digest}\n${body}`;
}

for (const [name, entry] of Object.entries(BUILT)) {
  const target = new URL(`../attnscope/report/viewer/${name}`, here);
  const text = await built(entry);
  if (!process.argv.includes("--check")) await writeFile(target, text);
  else if ((await readFile(target, "utf8").catch(() => "")) !== text) {
    console.error(`attnscope/report/viewer/${name} is not what viewer/src builds; run: make viewer`);
    process.exitCode = 1;
  }
}
