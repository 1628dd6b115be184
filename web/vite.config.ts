/* The page is one file: the bundle and its style are written into report.html, nothing is left to be loaded. */
import { defineConfig, type Plugin } from "vite";

const MARKER = "/*DOPPEL-" + "DATA*/";

function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      let script = "";
      let style = "";
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk") script += part.code;
        else if (name.endsWith(".css")) style += String(part.source);
        else continue;
        delete bundle[name];
      }
      const page = bundle["report.html"];
      if (!page || page.type !== "asset") throw new Error("report.html is missing from the bundle");
      // neither text may end its own element early; a replacer function keeps "$" in the bundle as it is
      const code = script.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
      let html = String(page.source)
        .replace(/\s*<script type="module"[^>]*src=[^>]*><\/script>/, "")
        .replace(/\s*<link rel="(stylesheet|modulepreload)"[^>]*>/g, "");
      html = html.replace("</head>", () => `<style>${style.trim()}</style>\n</head>`);
      html = html.replace("</body>", () => `<script type="module">${code.trim()}</script>\n</body>`);
      const places = html.split(MARKER).length - 1;
      if (places !== 1) throw new Error(`the data marker stands ${places} times in the page, expected once`);
      if (/<(script|link|img|iframe)[^>]+(src|href)="(?!data:)/.test(html)) throw new Error("the page loads another file");
      page.source = html;
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [oneFile()],
  build: {
    target: "es2020",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 1 << 24,
    rollupOptions: { input: "report.html", output: { inlineDynamicImports: true } },
  },
});
