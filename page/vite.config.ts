import { createHash } from "node:crypto";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Fold script and style into the HTML, and let its policy name exactly these two. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_, bundle) {
      let script = "";
      let style = "";
      let html = "";
      for (const [name, file] of Object.entries(bundle)) {
        if (name.endsWith(".html") && file.type === "asset") html = String(file.source);
        else if (file.type === "chunk") script += file.code;
        else if (name.endsWith(".css")) style += String(file.source);
        delete bundle[name];
      }
      script = script.trim().replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
      style = style.trim();
      const page = html
        .replace(/\s*<script [^>]*src=[^>]*><\/script>/g, "")
        .replace(/\s*<link [^>]*rel="stylesheet"[^>]*>/g, "")
        .replace("SCRIPT_HASH", () => hash(script))
        .replace("STYLE_HASH", () => hash(style))
        .replace("</head>", () => `  <style>${style}</style>\n</head>`)
        .replace("</body>", () => `<script type="module">${script}</script>\n</body>`);
      this.emitFile({ type: "asset", fileName: "page.html", source: page });
    },
  };
}

export default defineConfig({
  plugins: [svelte(), oneFile()],
  test: { include: ["tests/**/*.test.ts"] },
  build: {
    outDir: "../src/qkv/inside",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 1_000_000,
    chunkSizeWarningLimit: 200,
  },
} as Parameters<typeof defineConfig>[0]);
