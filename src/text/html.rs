//! Markup for a page that stands alone: no script, nothing fetched, readable in the dark.
//!
//! Used by the HTML report of a run. It knows no run. Text gets in through `escape` only, because what a model wrote must not become
//! markup; hidden characters become marks that a reader sees. The page forbids scripts and fetching to the browser as well.

use super::svg;
use super::table::{Cell, Table};
use super::visible::visible;

/// Pieces of a page, already markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html {
    markup: String,
}

impl Html {
    pub fn new() -> Html {
        Html::default()
    }

    pub fn as_str(&self) -> &str {
        &self.markup
    }

    /// A heading; `level` 1 is the page's title. The anchor lets other places of the page point here.
    pub fn heading(&mut self, level: u8, text: &str, anchor: &str) -> &mut Html {
        let level = level.clamp(1, 6);
        self.add(&format!("<h{level} id=\"{}\">{}</h{level}>\n", escape(anchor), escape(text)))
    }

    pub fn paragraph(&mut self, text: &str) -> &mut Html {
        self.add(&format!("<p>{}</p>\n", escape(text)))
    }

    /// Text whose lines and spaces matter, such as what a model wrote.
    pub fn verbatim(&mut self, text: &str) -> &mut Html {
        // A browser drops a line end that follows the tag at once.
        self.add(&format!("<pre dir=\"auto\">\n{}</pre>\n", escape(text)))
    }

    pub fn list<S: AsRef<str>>(&mut self, items: impl IntoIterator<Item = S>) -> &mut Html {
        self.add("<ul>\n");
        for item in items {
            self.add(&format!("<li>{}</li>\n", escape(item.as_ref())));
        }
        self.add("</ul>\n")
    }

    /// A table; a wide one scrolls inside its own box.
    pub fn table(&mut self, caption: &str, table: &Table) -> &mut Html {
        self.add("<div class=\"wide\" tabindex=\"0\"><table>\n");
        if !caption.is_empty() {
            self.add(&format!("<caption>{}</caption>\n", escape(caption)));
        }
        self.add("<thead><tr>");
        for (i, name) in table.columns().iter().enumerate() {
            let class = if table.is_numeric(i) { " class=\"number\"" } else { "" };
            self.add(&format!("<th scope=\"col\"{class}>{}</th>", escape(name)));
        }
        self.add("</tr></thead>\n<tbody>\n");
        for row in table.rows() {
            self.add("<tr>");
            for cell in row {
                self.cell(cell);
            }
            self.add("</tr>\n");
        }
        self.add("</tbody>\n</table></div>\n")
    }

    /// A drawing of the `svg` module with a sentence below it.
    pub fn figure(&mut self, drawing: &svg::Drawing, caption: &str) -> &mut Html {
        self.add("<figure>\n").add(drawing.as_str());
        if !caption.is_empty() {
            self.add(&format!("<figcaption>{}</figcaption>\n", escape(caption)));
        }
        self.add("</figure>\n")
    }

    /// Something to unfold.
    pub fn details(&mut self, summary: &str, inside: &Html) -> &mut Html {
        self.add(&format!("<details><summary>{}</summary>\n", escape(summary))).add(&inside.markup).add("</details>\n")
    }

    /// A part of the page with its heading.
    pub fn section(&mut self, title: &str, anchor: &str, inside: &Html) -> &mut Html {
        self.add("<section>\n").heading(2, title, anchor).add(&inside.markup).add("</section>\n")
    }

    fn cell(&mut self, cell: &Cell) {
        let (class, text) = match cell {
            Cell::Nothing => ("none", "–".to_string()),
            Cell::Text(text) => ("text", text.clone()),
            Cell::Count(count) => ("number", count.to_string()),
            Cell::Number { value, decimals } => ("number", format!("{value:.decimals$}")),
            Cell::Flag(flag) => ("flag", if *flag { "yes" } else { "no" }.to_string()),
        };
        self.add(&format!("<td class=\"{class}\" dir=\"auto\">{}</td>", escape(&text)));
    }

    fn add(&mut self, markup: &str) -> &mut Html {
        self.markup.push_str(markup);
        self
    }
}

/// Text as text: safe between tags and inside quoted attributes, with marks in place of what a reader could not see.
pub fn escape(text: &str) -> String {
    let shown = visible(text);
    let mut out = String::with_capacity(shown.len());
    for c in shown.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The whole page, complete in one file.
pub fn page(title: &str, body: &Html) -> String {
    let title = escape(title);
    let body = body.as_str();
    let drawings = svg::STYLE;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{drawings}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Of the page. Printed pages keep tables whole and unfold nothing.
const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#59636e;--line:#d1d9e0;--box:#f6f8fa}\n\
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--faint:#9198a1;--line:#3d444d;--box:#151b23}}\n\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n\
main{max-width:72rem;margin:0 auto;padding:1.5rem}\n\
h1,h2,h3{line-height:1.25}\n\
pre{background:var(--box);border:1px solid var(--line);padding:.75rem;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}\n\
.wide{overflow-x:auto}\n\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n\
caption{text-align:left;color:var(--faint);padding:.25rem 0}\n\
th,td{border-bottom:1px solid var(--line);padding:.3rem .7rem;text-align:left;vertical-align:top}\n\
td.number,th.number{text-align:right}\n\
td.none{color:var(--faint)}\n\
td.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;max-width:32rem}\n\
figure{margin:1rem 0;max-width:44rem}\n\
figcaption{color:var(--faint);font-size:.9rem}\n\
summary{cursor:pointer}\n\
@media print{section,table,figure{break-inside:avoid}}\n";
