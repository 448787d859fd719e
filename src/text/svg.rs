//! Line charts and bars as inline SVG: no script, light and dark by the reader's preference.
//!
//! Used by the HTML report. It knows no run: names and plain numbers come in. A value that is no number is a gap in its line and a
//! cross at the foot of the chart, because a curve that glides over a NaN hides the moment at which training broke.

use std::fmt::Write as _;

use super::axis::Axis;
use super::html::escape;

/// A finished drawing; only this module makes one, so that a page may hold it as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    markup: String,
}

impl Drawing {
    /// For a page that has `STYLE`.
    pub fn as_str(&self) -> &str {
        &self.markup
    }

    /// For a file of its own.
    pub fn standalone(&self) -> String {
        match self.markup.split_once('>') {
            Some((tag, rest)) => format!("{tag} xmlns=\"http://www.w3.org/2000/svg\"><style>\n{STYLE}</style>{rest}"),
            None => self.markup.clone(),
        }
    }
}

/// One value of a curve, with the least and the greatest of what it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

impl Point {
    /// A value that stands for itself.
    pub fn at(x: f64, y: f64) -> Point {
        Point { x, y, low: y, high: y }
    }
}

/// A curve: points in the order of x.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<Point>,
}

/// A level to compare with, such as ln 2 for a DPO loss or the chance level of an accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Guide {
    pub name: String,
    pub y: f64,
}

/// Curves over one x axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineChart {
    pub title: String,
    pub x_label: String,
    pub series: Vec<Series>,
    pub guides: Vec<Guide>,
}

/// Counts by class, for one or more groups side by side (before and after a filter).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    pub title: String,
    pub x_label: String,
    pub classes: Vec<String>,
    /// Each group's name and its count for each class; a class without a count is 0.
    pub groups: Vec<(String, Vec<u64>)>,
}

const WIDTH: f64 = 640.0;
const PLOT_HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 44.0;
const TITLE: f64 = 24.0;
const LEGEND_LINE: f64 = 18.0;
/// Colours and dashes repeat after this many.
const STYLES: usize = 8;
/// Points are drawn one by one, with their values to point at, up to this many.
const DOTS: usize = 60;

impl LineChart {
    pub fn draw(&self) -> Drawing {
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|point| point.x.is_finite());
        let guides = self.guides.iter().map(|guide| guide.y);
        let x = Axis::around(points().map(|point| point.x));
        let y = Axis::around(points().flat_map(|point| [point.y, point.low, point.high]).chain(guides))
            .map(Axis::with_room);
        let mut frame = Frame::begin(&self.title, self.series.iter().map(|series| series.name.as_str()), true);
        let (Some(x), Some(y)) = (x, y) else { return frame.nothing() };
        frame.y_ticks(y.ticks(5), y);
        let whole = points().all(|point| point.x.fract() == 0.0);
        for (value, label) in if whole { x.whole_ticks(6) } else { x.ticks(6) } {
            frame.x_tick(x.place(value), &label);
        }
        frame.x_label(&self.x_label);
        for guide in self.guides.iter().filter(|guide| guide.y.is_finite()) {
            frame.guide(&guide.name, y.place(guide.y));
        }
        for (i, series) in self.series.iter().enumerate() {
            frame.series(i, series, x, y);
        }
        frame.end()
    }
}

impl Bars {
    pub fn draw(&self) -> Drawing {
        let legend: &[(String, Vec<u64>)] = if self.groups.len() > 1 { &self.groups } else { &[] };
        let mut frame = Frame::begin(&self.title, legend.iter().map(|(name, _)| name.as_str()), false);
        let greatest = self.groups.iter().flat_map(|(_, counts)| counts.iter().take(self.classes.len())).max();
        let Some(&greatest) = greatest else { return frame.nothing() };
        let Some(y) = Axis::around([0.0, greatest.max(1) as f64 * 1.05]) else { return frame.nothing() };
        frame.y_ticks(y.whole_ticks(5), y);
        let slot = frame.plot_width() / self.classes.len() as f64;
        let every = (self.classes.len() / 24).max(1);
        for (i, class) in self.classes.iter().enumerate() {
            if i % every == 0 {
                frame.x_tick((i as f64 + 0.5) / self.classes.len() as f64, &shortened(class, 12));
            }
            let bar = slot * 0.8 / self.groups.len() as f64;
            for (group, (name, counts)) in self.groups.iter().enumerate() {
                let count = counts.get(i).copied().unwrap_or(0);
                let left = slot * (i as f64 + 0.1) + bar * group as f64;
                frame.bar(group, left, bar, y.place(count as f64), &format!("{name} {class}: {count}"));
            }
        }
        frame.x_label(&self.x_label);
        frame.end()
    }
}

/// The parts of a chart that do not depend on its kind.
struct Frame {
    out: String,
    top: f64,
}

impl Frame {
    fn begin<'a>(title: &str, names: impl Iterator<Item = &'a str>, lines: bool) -> Frame {
        let mut legend = String::new();
        let (mut x, mut row) = (LEFT, 0.0);
        let mut said = Vec::new();
        for (i, name) in names.enumerate() {
            let name = shortened(name, 40);
            let wide = 40.0 + 7.0 * name.chars().count() as f64;
            if x > LEFT && x + wide > WIDTH - RIGHT {
                (x, row) = (LEFT, row + 1.0);
            }
            let y = TITLE + LEGEND_LINE * (row + 0.5);
            let class = i % STYLES;
            let _ = if lines {
                write!(legend, "<path class=\"line s{class}\" d=\"M{x:.1} {y:.1}h24\"/>")
            } else {
                write!(
                    legend,
                    "<rect class=\"bar s{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"12\" height=\"10\"/>",
                    x + 12.0,
                    y - 5.0
                )
            };
            let _ = write!(legend, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 30.0, y + 4.0, escape(&name));
            said.push(name);
            x += wide;
        }
        let rows = if said.is_empty() { 0.0 } else { row + 1.0 };
        let top = TITLE + LEGEND_LINE * rows + 8.0;
        let height = top + PLOT_HEIGHT + BOTTOM;
        let label = if said.is_empty() { title.to_string() } else { format!("{title}: {}", said.join(", ")) };
        let out = format!(
            "<svg class=\"chart\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {height}\">\
             <text class=\"title\" x=\"{LEFT}\" y=\"16\">{}</text>{legend}\n",
            escape(&label),
            escape(&shortened(title, 80)),
        );
        Frame { out, top }
    }

    fn plot_width(&self) -> f64 {
        WIDTH - LEFT - RIGHT
    }

    fn foot(&self) -> f64 {
        self.top + PLOT_HEIGHT
    }

    fn x(&self, place: f64) -> f64 {
        LEFT + place * self.plot_width()
    }

    fn y(&self, place: f64) -> f64 {
        self.foot() - place * PLOT_HEIGHT
    }

    fn add(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a String can not fail.
        let _ = self.out.write_fmt(markup);
    }

    fn y_ticks(&mut self, ticks: impl IntoIterator<Item = (f64, String)>, axis: Axis) {
        for (value, label) in ticks {
            let y = self.y(axis.place(value));
            let right = WIDTH - RIGHT;
            self.add(format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            self.add(format_args!(
                "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>\n",
                LEFT - 6.0,
                y + 4.0
            ));
        }
    }

    fn x_tick(&mut self, place: f64, label: &str) {
        let (x, foot) = (self.x(place), self.foot());
        self.add(format_args!("<path class=\"axis\" d=\"M{x:.1} {foot:.1}v4\"/>"));
        let label = escape(label);
        self.add(format_args!(
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>\n",
            foot + 17.0
        ));
    }

    fn x_label(&mut self, label: &str) {
        let (x, y) = (self.x(0.5), self.foot() + 35.0);
        let label = escape(&shortened(label, 80));
        self.add(format_args!(
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>\n"
        ));
    }

    fn guide(&mut self, name: &str, place: f64) {
        let (y, right) = (self.y(place), WIDTH - RIGHT);
        self.add(format_args!("<path class=\"guide\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        let name = escape(&shortened(name, 40));
        self.add(format_args!(
            "<text class=\"tick\" text-anchor=\"end\" x=\"{right}\" y=\"{:.1}\">{name}</text>\n",
            y - 4.0
        ));
    }

    fn series(&mut self, number: usize, series: &Series, x: Axis, y: Axis) {
        let class = number % STYLES;
        let placed: Vec<&Point> = series.points.iter().filter(|point| point.x.is_finite()).collect();
        let name = escape(&shortened(&series.name, 40));
        for run in placed.split(|point| !point.y.is_finite()).filter(|run| !run.is_empty()) {
            let at =
                |point: &Point, value: f64| format!("{:.1} {:.1}", self.x(x.place(point.x)), self.y(y.place(value)));
            let finite = |value: f64, instead: f64| if value.is_finite() { value } else { instead };
            let highs: Vec<String> = run.iter().map(|point| at(point, finite(point.high, point.y))).collect();
            let lows: Vec<String> = run.iter().rev().map(|point| at(point, finite(point.low, point.y))).collect();
            let middle: Vec<String> = run.iter().map(|point| at(point, point.y)).collect();
            if run.iter().any(|point| point.low < point.y || point.high > point.y) {
                self.add(format_args!(
                    "<path class=\"envelope s{class}\" d=\"M{}L{}Z\"/>",
                    highs.join("L"),
                    lows.join("L")
                ));
            }
            if let [only] = middle.as_slice() {
                // A line of no length draws nothing.
                self.add(format_args!("<path class=\"dot s{class}\" d=\"M{only}h0\"/>"));
            } else {
                self.add(format_args!("<path class=\"line s{class}\" d=\"M{}\"/>", middle.join("L")));
            }
        }
        let few = placed.len() <= DOTS;
        for point in placed {
            let px = self.x(x.place(point.x));
            if !point.y.is_finite() {
                let foot = self.foot() - 6.0;
                self.add(format_args!(
                    "<path class=\"broken\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"><title>",
                    px - 4.0,
                    foot - 4.0
                ));
                self.add(format_args!("{name}: {} at {}</title></path>", said(point.y), said(point.x)));
            } else if few {
                let py = self.y(y.place(point.y));
                self.add(format_args!("<circle class=\"s{class}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2.5\"><title>"));
                self.add(format_args!("{name}: {} at {}</title></circle>", said(point.y), said(point.x)));
            }
        }
        self.out.push('\n');
    }

    fn bar(&mut self, group: usize, left: f64, width: f64, place: f64, title: &str) {
        let (x, y, height) = (LEFT + left, self.y(place), place * PLOT_HEIGHT);
        let (class, title) = (group % STYLES, escape(title));
        self.add(format_args!(
            "<rect class=\"bar s{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">"
        ));
        self.add(format_args!("<title>{title}</title></rect>\n"));
    }

    fn nothing(mut self) -> Drawing {
        let (x, y) = (self.x(0.5), self.y(0.5));
        self.add(format_args!(
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">no values yet</text>\n"
        ));
        self.end()
    }

    fn end(mut self) -> Drawing {
        let (top, foot, right) = (self.top, self.foot(), WIDTH - RIGHT);
        self.add(format_args!("<path class=\"axis\" d=\"M{LEFT} {top:.1}V{foot:.1}H{right}\"/></svg>\n"));
        Drawing { markup: self.out }
    }
}

/// A value for a person: six digits at most.
fn said(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+infinity"
        } else {
            "-infinity"
        }
        .to_string();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let fixed = format!("{value:.5}");
    fixed.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

/// Of all drawings of a page. Lines differ by dashes too, so that they can be told apart without colours and in print; the colours
/// are those of Okabe and Ito, brighter in the dark.
pub const STYLE: &str = "\
.chart{width:100%;height:auto;font:12px system-ui,sans-serif;\
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#a8508a;--c4:#8a6d00;--c5:#2a8fc4;--c6:#5c5c5c;--c7:#111;--chart-ink:#1b1f24;--chart-faint:#59636e;--chart-line:#d1d9e0;--chart-alarm:#c00}\n\
@media (prefers-color-scheme:dark){.chart{--c0:#56b4e9;--c1:#ff9e4a;--c2:#3ddbae;--c3:#e79ac7;--c4:#f0e442;--c5:#9ad0f5;--c6:#b0b0b0;--c7:#fff;--chart-ink:#e6edf3;--chart-faint:#9198a1;--chart-line:#3d444d;--chart-alarm:#ff7b72}}\n\
.chart text{fill:var(--chart-ink)}\n\
.chart .title{font-size:14px;font-weight:600}\n\
.chart .tick{fill:var(--chart-faint)}\n\
.chart path{fill:none}\n\
.chart .grid{stroke:var(--chart-line)}\n\
.chart .axis{stroke:var(--chart-faint)}\n\
.chart .guide{stroke:var(--chart-faint);stroke-dasharray:2 4}\n\
.chart .line{stroke-width:1.8;stroke-linejoin:round}\n\
.chart .dot{stroke-width:5;stroke-linecap:round}\n\
.chart .broken{stroke:var(--chart-alarm);stroke-width:2}\n\
.chart path.envelope{opacity:.18;stroke:none}\n\
.chart .s0{stroke:var(--c0);color:var(--c0)}\n\
.chart .s1{stroke:var(--c1);color:var(--c1);stroke-dasharray:8 3}\n\
.chart .s2{stroke:var(--c2);color:var(--c2);stroke-dasharray:3 3}\n\
.chart .s3{stroke:var(--c3);color:var(--c3);stroke-dasharray:10 3 2 3}\n\
.chart .s4{stroke:var(--c4);color:var(--c4);stroke-dasharray:14 4}\n\
.chart .s5{stroke:var(--c5);color:var(--c5);stroke-dasharray:6 2 2 2 2 2}\n\
.chart .s6{stroke:var(--c6);color:var(--c6);stroke-dasharray:1 3}\n\
.chart .s7{stroke:var(--c7);color:var(--c7);stroke-dasharray:5 8}\n\
.chart path.dot{stroke-dasharray:none}\n\
.chart circle[class],.chart rect[class],.chart path.envelope{fill:currentColor;stroke:none}\n";
