//! What leaves the program as text: tables in three forms, charts, and the page that holds them.

use proptest::prelude::*;
use selfreward::text::html::{Html, escape, page};
use selfreward::text::invisible::is_invisible;
use selfreward::text::svg::{Bars, Drawing, Guide, LineChart, Point, Series};
use selfreward::text::table::{Cell, Table};

fn table() -> Table {
    let mut table = Table::new(["pair", "prompt", "margin", "vetoed"]);
    table.push([Cell::from(7_usize), "Name a colour,\nplease.".into(), Cell::number(0.125, 2), true.into()]);
    table.push([Cell::from(12_usize), "Say \"hi\" \u{1b}[31m".into(), Cell::number(f64::NAN, 2), Cell::Nothing]);
    table.push([Cell::from(3_usize), "".into(), Cell::number(-2.0, 2)]);
    table
}

#[test]
fn csv_follows_the_rfc_and_shows_what_could_steer_a_terminal() {
    let expected = "pair,prompt,margin,vetoed\r\n\
                    7,\"Name a colour,\nplease.\",0.125,true\r\n\
                    12,\"Say \"\"hi\"\" ^[[31m\",NaN,\r\n\
                    3,\"\",-2.0,\r\n";
    assert_eq!(table().to_csv(), expected);
}

#[test]
fn json_lines_keep_everything_and_hold_nothing_invisible() {
    let expected = "{\"pair\":7,\"prompt\":\"Name a colour,\\nplease.\",\"margin\":0.125,\"vetoed\":true}\n\
                    {\"pair\":12,\"prompt\":\"Say \\\"hi\\\" \\u001b[31m\",\"margin\":\"NaN\",\"vetoed\":null}\n\
                    {\"pair\":3,\"prompt\":\"\",\"margin\":-2.0,\"vetoed\":null}\n";
    assert_eq!(table().to_jsonl(), expected);
}

#[test]
fn columns_are_aligned_and_cut_to_the_width_texts_first() {
    let whole = "pair  prompt                  margin  vetoed\n   \
                 7  Name a colour,↵please.    0.12  yes\n  \
                 12  Say \"hi\" ^[[31m            NaN  -\n   \
                 3                           -2.00  -\n";
    assert_eq!(table().to_plain(None), whole);
    let narrow = "pair  prompt        margin  vetoed\n   \
                  7  Name a colo…    0.12  yes\n  \
                  12  Say \"hi\" ^[…     NaN  -\n   \
                  3                 -2.00  -\n";
    assert_eq!(table().to_plain(Some(34)), narrow);
    for line in table().to_plain(Some(11)).lines() {
        assert!(line.chars().count() <= 11, "{line:?}");
    }
    let mut wide = Table::new(["name", "n"]);
    wide.push(["漢字".into(), Cell::from(1_usize)]);
    wide.push(["abc".into(), Cell::from(10_usize)]);
    assert_eq!(wide.to_plain(None), "name   n\n漢字   1\nabc   10\n");
    assert_eq!(Table::new(["a", "b"]).to_plain(None), "a  b\n");
    assert_eq!(Table::new(Vec::<String>::new()).to_plain(Some(5)), "\n");
}

/// Reads CSV as RFC 4180 has it; a second way to the same rows.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (vec![], vec![], String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    rows
}

fn charts() -> Vec<(&'static str, Drawing)> {
    let series = |name: &str, points: &[(f64, f64)]| Series {
        name: name.to_string(),
        points: points.iter().map(|(x, y)| Point::at(*x, *y)).collect(),
    };
    let chart =
        |series: Vec<Series>| LineChart { title: "DPO loss".into(), x_label: "step".into(), series, guides: vec![] };
    let guides = vec![Guide { name: "ln 2".into(), y: std::f64::consts::LN_2 }];
    let mut envelope = series("loss", &[(0.0, 0.7), (1.0, 0.6), (2.0, 0.4)]);
    envelope.points[1].low = 0.3;
    envelope.points[1].high = 0.9;
    let gap = series("loss", &[(0.0, 0.7), (1.0, 0.6), (2.0, f64::NAN), (3.0, 0.4), (4.0, f64::INFINITY)]);
    let bars = |groups: Vec<(String, Vec<u64>)>| Bars {
        title: "Scores".into(),
        x_label: "score".into(),
        classes: ["0", "1", "2", "3", "4", "5"].map(String::from).to_vec(),
        groups,
    };
    vec![
        ("empty", chart(vec![]).draw()),
        ("only NaN", chart(vec![series("loss", &[(0.0, f64::NAN)])]).draw()),
        ("one point", chart(vec![series("loss", &[(3.0, 0.5)])]).draw()),
        ("gap", chart(vec![gap]).draw()),
        ("envelope", chart(vec![envelope.clone()]).draw()),
        ("guide", LineChart { guides, ..chart(vec![envelope]) }.draw()),
        (
            "names",
            chart(vec![series("<script>alert(1)</script>", &[(0.0, 0.0)]), series("\u{1b}[31m", &[(0.0, 1.0)])]).draw(),
        ),
        ("bars", bars(vec![("before".into(), vec![1, 2, 3, 4, 50, 6]), ("after".into(), vec![1, 2, 3])]).draw()),
        ("no bars", bars(vec![]).draw()),
        ("no counts", bars(vec![("all".into(), vec![])]).draw()),
    ]
}

fn count(drawing: &Drawing, what: &str) -> usize {
    drawing.as_str().matches(what).count()
}

/// Checks that tags close in order, that no attribute holds a number that is none, and that no text could act.
fn stands(markup: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = markup;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').expect("a tag that ends") + start;
        let tag = &rest[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{markup}");
        } else if !tag.ends_with('/') && !tag.starts_with('!') && !tag.starts_with("meta ") {
            open.push(tag.split(' ').next().unwrap().to_string());
        }
        for attribute in [" d=\"", " x=\"", " y=\"", " width=\"", " height=\"", " cx=\"", " cy=\""] {
            for value in tag.split(attribute).skip(1) {
                let value = value.split('"').next().unwrap();
                assert!(!value.contains("NaN") && !value.contains("inf"), "{tag}");
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} stay open in {markup}");
    assert!(!markup.contains("<script") && !markup.contains("http-equiv=\"refresh\""));
    assert!(markup.chars().all(|c| c == '\n' || !is_invisible(c)));
}

#[test]
fn a_value_that_is_no_number_is_a_gap_and_a_cross() {
    for (name, drawing) in charts() {
        stands(drawing.as_str());
        let lines = count(&drawing, "<path class=\"line s0\" d=\"M64.0 33.0h24\"/>");
        let expected: (usize, usize, usize, usize) = match name {
            // curves (the legend's line left out), dots, crosses, envelopes
            "empty" | "bars" | "no bars" | "no counts" => (0, 0, 0, 0),
            "only NaN" => (0, 0, 0, 0),
            "one point" => (0, 1, 0, 0),
            "gap" => (1, 1, 2, 0),
            "envelope" | "guide" => (1, 0, 0, 1),
            "names" => (0, 2, 0, 0),
            _ => unreachable!(),
        };
        let found = (
            count(&drawing, "class=\"line s0\"") - lines,
            count(&drawing, "class=\"dot"),
            count(&drawing, "class=\"broken\""),
            count(&drawing, "class=\"envelope"),
        );
        assert_eq!(found, expected, "{name}");
        let empty = matches!(name, "empty" | "only NaN" | "no bars" | "no counts");
        assert_eq!(drawing.as_str().contains("no values yet"), empty, "{name}");
    }
}

#[test]
fn bars_are_as_high_as_their_counts() {
    let (_, drawing) = charts().into_iter().find(|(name, _)| *name == "bars").unwrap();
    let height = |title: &str| -> f64 {
        let before = drawing.as_str().split(&format!("<title>{title}</title>")).next().unwrap();
        before.rsplit(" height=\"").next().unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert!((height("before 4: 50") / height("before 5: 6") - 50.0 / 6.0).abs() < 0.05);
    assert_eq!(height("after 5: 0"), 0.0);
}

#[test]
fn a_drawing_stands_alone_with_its_style() {
    for (name, drawing) in charts() {
        let file = drawing.standalone();
        stands(&file);
        assert!(file.starts_with("<svg ") && file.contains(" xmlns=\"http://www.w3.org/2000/svg\"><style>"), "{name}");
        assert!(file.contains("prefers-color-scheme:dark"), "{name}");
    }
}

#[test]
fn foreign_text_never_becomes_markup() {
    let table = [
        ("<b>&'\"", "&lt;b&gt;&amp;&#39;&quot;"),
        ("a\n\u{1b}[2J", "a\n^[[2J"),
        ("\u{202e}", "&lt;U+202E&gt;"),
        ("plain", "plain"),
    ];
    for (text, expected) in table {
        assert_eq!(escape(text), expected);
    }
}

#[test]
fn a_page_is_complete_and_asks_for_nothing() {
    let mut inside = Html::new();
    inside
        .paragraph("All <went> well.")
        .list(["one", "<two>"])
        .verbatim("\nfirst\n  second")
        .table("Pairs & more", &table());
    for (_, drawing) in charts() {
        inside.figure(&drawing, "What it shows");
    }
    let mut body = Html::new();
    body.heading(1, "Run <x>", "top").section("Pairs", "pairs", &inside);
    let mut folded = Html::new();
    folded.paragraph("hidden first");
    body.details("More", &folded);
    let text = page("Run \"x\"", &body);
    stands(&text);
    assert!(text.starts_with("<!doctype html>"));
    assert!(text.contains("default-src 'none'") && text.contains("<title>Run &quot;x&quot;</title>"));
    assert!(
        text.contains("<td class=\"number\" dir=\"auto\">0.12</td>") && text.contains("<pre dir=\"auto\">\n\nfirst")
    );
    for forbidden in ["<script", "src=", "href=", "url(", "@import", "http:", "https:", "javascript", "onload"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}

proptest! {
    #[test]
    fn any_table_can_be_read_back_and_fits_its_width(texts in prop::collection::vec((any::<String>(), any::<f64>(), any::<Option<bool>>()), 0..6), width in 0_usize..90) {
        let mut table = Table::new(["text", "a \"number\", with 2 decimals", "flag"]);
        for (text, value, flag) in &texts {
            table.push([Cell::from(text.as_str()), Cell::number(*value, 2), (*flag).into()]);
        }
        let csv = parse_csv(&table.to_csv());
        prop_assert_eq!(csv.len(), texts.len() + 1);
        prop_assert!(csv.iter().all(|row| row.len() == 3));
        prop_assert_eq!(csv[0][1].as_str(), "a \"number\", with 2 decimals");
        for ((text, value, _), line) in texts.iter().zip(table.to_jsonl().lines()) {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(row["text"].as_str(), Some(text.as_str()));
            match value.is_finite() {
                true => prop_assert_eq!(row["a \"number\", with 2 decimals"].as_f64(), Some(*value)),
                false => prop_assert!(row["a \"number\", with 2 decimals"].is_string()),
            }
        }
        let plain = table.to_plain(Some(width));
        prop_assert_eq!(plain.lines().count(), texts.len() + 1);
        for line in plain.lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{:?}", line);
        }
        for text in [table.to_csv(), table.to_jsonl(), plain] {
            prop_assert!(text.replace("\r\n", "\n").chars().all(|c| c == '\n' || !is_invisible(c)));
        }
    }

    #[test]
    fn any_numbers_can_be_drawn(points in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>()), 0..80), guide: f64, counts in prop::collection::vec(any::<u64>(), 0..40), title: String) {
        let points = points.into_iter().map(|(x, y, low, high)| Point { x, y, low, high }).collect();
        let chart = LineChart {
            title: title.clone(),
            x_label: title.clone(),
            series: vec![Series { name: title.clone(), points }],
            guides: vec![Guide { name: title.clone(), y: guide }],
        };
        stands(chart.draw().as_str());
        stands(&chart.draw().standalone());
        let classes = (0..counts.len()).map(|i| i.to_string()).collect();
        stands(Bars { title: title.clone(), x_label: title.clone(), classes, groups: vec![(title.clone(), counts)] }.draw().as_str());
    }

    #[test]
    fn any_text_leaves_a_page_whole(text: String) {
        let mut body = Html::new();
        body.heading(2, &text, &text).paragraph(&text).verbatim(&text).list([&text]);
        let mut table = Table::new([text.as_str()]);
        table.push([Cell::from(text.as_str())]);
        body.table(&text, &table);
        stands(&page(&text, &body));
    }
}
