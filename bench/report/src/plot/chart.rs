//! Horizontal bars on a logarithmic scale, as SVG.
//!
//! The picture has its own background, and colours for a dark one, so that it is readable on any page.

use super::library;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
/// Where bars begin, after the names.
const LEFT: f64 = 200.0;
/// The space for figures after the longest bar.
const RIGHT: f64 = 170.0;
const HEAD: f64 = 78.0;
const GROUP: f64 = 34.0;
const ROW: f64 = 20.0;
const FOOT: f64 = 16.0;

/// Colours of libraries on a light and on a dark page; people who cannot see red or green can tell them apart too.
const COLOURS: &[(&str, &str, &str)] = &[
    ("sockeye", "#d1342f", "#ff6b5e"),
    ("floor", "#9aa0a6", "#80868b"),
    ("axum", "#0072b2", "#56a8e0"),
    ("tungstenite", "#56b4e9", "#8fd0f5"),
    ("tokio-websockets", "#009e73", "#35c79b"),
    ("fastwebsockets", "#e69f00", "#f0b840"),
    ("yawc", "#b07aa1", "#d4a0c6"),
    ("wtx", "#8c6d31", "#bfa063"),
    ("sockudo", "#cc79a7", "#e3a3c6"),
    ("bun", "#4b3f72", "#8f80c4"),
    ("node-ws", "#6b7280", "#9aa3b2"),
];

/// A picture: groups of bars, one below the other, on one scale.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// How to read it.
    pub(crate) legend: String,
    /// Where the scale begins, unless there is a smaller value.
    pub(crate) least: f64,
    /// The format of a value on the scale.
    pub(crate) unit: fn(f64) -> String,
    pub(crate) groups: Vec<Group>,
}

/// Bars that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// A bar.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    /// Drawn as a line over the end of the bar.
    pub(crate) range: Option<(f64, f64)>,
    /// Drawn as points on the bar.
    pub(crate) dots: Vec<f64>,
    /// Written after everything else.
    pub(crate) text: String,
}

impl Row {
    pub(crate) fn new(name: &'static str, value: f64) -> Self {
        Self { name, value, range: None, dots: Vec::new(), text: String::new() }
    }

    /// The largest value of its marks.
    fn end(&self) -> f64 {
        let range = self.range.map(|(_, high)| high);
        self.dots.iter().copied().chain(range).fold(self.value, f64::max)
    }
}

/// Maps values to positions.
#[derive(Debug, Clone, Copy)]
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn x(self, value: f64) -> f64 {
        let share = (value.max(self.least) / self.least).ln() / (self.most / self.least).ln();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// The steps 1, 2, 5, 10, … on the scale; only the powers of ten if there are many.
    fn ticks(self) -> Vec<f64> {
        let decades = (self.most / self.least).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let first = self.least.log10().floor() as i32;
        let last = self.most.log10().ceil() as i32;
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        // Computed tenths are not exactly the written numbers.
        let all = all.map(|tick| (tick * 1e6).round() / 1e6);
        all.filter(|tick| *tick >= self.least * 0.999 && *tick <= self.most * 1.001).collect()
    }
}

impl Chart {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let rows = || self.groups.iter().flat_map(|group| &group.rows);
        let lows = rows().map(|row| row.range.map_or(row.value, |(low, _)| low.min(row.value)));
        let lowest = lows.fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
        // So that the shortest bar is still visible.
        let least = self.least.min(lowest * 0.9);
        let most = rows().map(Row::end).fold(least * 2.0, f64::max);
        let scale = Scale { least, most };
        let height = HEAD + self.groups.iter().map(|group| GROUP + ROW * group.rows.len() as f64).sum::<f64>() + FOOT;

        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut svg, scale, height);
        svg
    }

    fn write(&self, svg: &mut String, scale: Scale, height: f64) -> std::fmt::Result {
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">"#
        )?;
        writeln!(svg, "<title>{}</title>", escaped(&self.title))?;
        style(svg)?;
        writeln!(svg, r#"<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>"#)?;
        writeln!(svg, r#"<text class="title" x="16" y="28">{}</text>"#, escaped(&self.title))?;
        writeln!(svg, r#"<text class="legend" x="16" y="48">{}</text>"#, escaped(&self.legend))?;
        for tick in scale.ticks() {
            let x = scale.x(tick);
            let (top, bottom) = (HEAD - 4.0, height - FOOT);
            writeln!(svg, r#"<line class="grid" x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}"/>"#)?;
            let text = escaped(&(self.unit)(tick));
            writeln!(svg, r#"<text class="tick" x="{x:.1}" y="{}">{text}</text>"#, HEAD - 10.0)?;
        }
        let mut top = HEAD;
        for group in &self.groups {
            writeln!(svg, r#"<text class="group" x="16" y="{}">{}</text>"#, top + GROUP - 10.0, escaped(&group.title))?;
            top += GROUP;
            for row in &group.rows {
                bar(svg, row, scale, top)?;
                top += ROW;
            }
        }
        writeln!(svg, "</svg>")
    }
}

/// One row with the upper edge `top`.
fn bar(svg: &mut String, row: &Row, scale: Scale, top: f64) -> std::fmt::Result {
    let colour = COLOURS.iter().position(|(name, ..)| *name == library(row.name)).unwrap_or_default();
    let ours = if row.name == "sockeye" { " ours" } else { "" };
    let (middle, text) = (top + ROW / 2.0, top + ROW / 2.0 + 4.0);
    writeln!(svg, r#"<text class="name{ours}" x="{}" y="{text}">{}</text>"#, LEFT - 8.0, row.name)?;
    // The smallest value is visible too.
    let width = (scale.x(row.value) - LEFT).max(2.0);
    let (y, height) = (top + 3.0, ROW - 6.0);
    writeln!(svg, r#"<rect class="c{colour}" x="{LEFT}" y="{y}" width="{width:.1}" height="{height}"/>"#)?;
    if let Some((low, high)) = row.range {
        let (low, high) = (scale.x(low), scale.x(high));
        writeln!(svg, r#"<line class="range" x1="{low:.1}" y1="{middle}" x2="{high:.1}" y2="{middle}"/>"#)?;
    }
    for dot in &row.dots {
        writeln!(svg, r#"<circle class="c{colour}" cx="{:.1}" cy="{middle}" r="4"/>"#, scale.x(*dot))?;
    }
    let x = scale.x(row.end()) + 9.0;
    writeln!(svg, r#"<text class="figure{ours}" x="{x:.1}" y="{text}">{}</text>"#, escaped(&row.text))
}

fn style(svg: &mut String) -> std::fmt::Result {
    let colours = |svg: &mut String, of: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        COLOURS.iter().enumerate().try_for_each(|(index, colour)| write!(svg, " .c{index} {{ fill: {} }}", of(colour)))
    };
    writeln!(svg, "<style>")?;
    writeln!(svg, "text {{ font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }}")?;
    writeln!(svg, ".title {{ font-size: 17px; font-weight: 600 }} .group {{ font-weight: 600 }}")?;
    // Letters have an edge in the colour of the page, so that lines of the scale do not cross them.
    writeln!(svg, ".group, .figure {{ paint-order: stroke; stroke: #ffffff; stroke-width: 5px }}")?;
    writeln!(svg, ".legend, .tick {{ fill: #57606a }} .tick {{ font-size: 11px; text-anchor: middle }}")?;
    writeln!(svg, ".name {{ text-anchor: end }} .ours {{ font-weight: 700 }} .page {{ fill: #ffffff }}")?;
    writeln!(svg, ".grid {{ stroke: #d8dee4 }} .range {{ stroke: #24292f; stroke-width: 1.5 }}")?;
    colours(svg, |(_, light, _)| light)?;
    writeln!(svg, "\n@media (prefers-color-scheme: dark) {{")?;
    writeln!(svg, "text {{ fill: #e6edf3 }} .legend, .tick {{ fill: #9198a1 }} .page {{ fill: #0d1117 }}")?;
    writeln!(svg, ".group, .figure {{ stroke: #0d1117 }}")?;
    writeln!(svg, ".grid {{ stroke: #30363d }} .range {{ stroke: #e6edf3 }}")?;
    colours(svg, |(_, _, dark)| dark)?;
    writeln!(svg, "\n}}\n</style>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::SERVERS;

    fn chart() -> Chart {
        let rows = [("sockeye", 1.1), ("axum-plain", 49.0)].map(|(name, value)| Row {
            range: Some((value * 0.9, value * 1.1)),
            text: value.to_string(),
            ..Row::new(name, value)
        });
        Chart {
            title: "a < b".to_owned(),
            legend: String::new(),
            least: 1.0,
            unit: |value| format!("{value}×"),
            groups: vec![Group { title: "20 B".to_owned(), rows: rows.into() }],
        }
    }

    #[test]
    fn a_picture_names_every_server_and_its_figure() {
        let svg = chart().svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        for text in ["sockeye", "axum-plain", ">49<", "a &lt; b", ">10×<", ">50×<"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }

    #[test]
    fn the_scale_of_a_chart_is_logarithmic() {
        let scale = Scale { least: 1.0, most: 1000.0 };
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
        let steps = [1.0, 10.0, 100.0].map(|value| scale.x(value * 10.0) - scale.x(value));
        assert!(steps.iter().all(|step| (step - steps[0]).abs() < 1e-9));
        assert_eq!((scale.x(0.1), scale.x(1000.0)), (LEFT, WIDTH - RIGHT));
    }

    #[test]
    fn every_library_has_a_colour() {
        for server in SERVERS.iter().filter(|server| server.name != "sockeye-per-core") {
            assert!(COLOURS.iter().any(|(name, ..)| *name == library(server.name)), "{}", server.name);
        }
    }
}
