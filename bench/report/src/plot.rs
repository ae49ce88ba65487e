//! What came out, as pictures: one for each scenario, a bar for each server.

use crate::metric::Metric;
use crate::servers::SERVERS;
use crate::statistics::{median, quantile};
use crate::table::{figure, values};
use crate::turns::Results;
use anyhow::{Context as _, Result, anyhow};
use bench_load::{SCENARIOS, Scenario};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH: i32 = 860;
const NAMES: i32 = 210;
const FIGURES: i32 = 90;
const HEAD: i32 = 64;
const ROW: i32 = 26;
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const OURS: RGBColor = RGBColor(0xd6, 0x45, 0x41);
const OTHERS: RGBColor = RGBColor(0x7f, 0x9d, 0xb9);
const BASE: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);

/// A bar: its middle half of the runs as a line.
struct Bar {
    name: &'static str,
    low: f64,
    middle: f64,
    high: f64,
}

/// Draws one picture for each scenario that was run.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for scenario in SCENARIOS {
        let bars = bars(scenario, results);
        if bars.is_empty() {
            continue;
        }
        let path = folder.join(format!("{}.svg", scenario.name));
        let mut svg = String::new();
        picture(scenario, &bars, &mut svg).with_context(|| format!("cannot draw {}", path.display()))?;
        std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Best first.
fn bars(scenario: &Scenario, results: &Results) -> Vec<Bar> {
    let metric = Metric::main(scenario);
    let mut bars: Vec<Bar> = SERVERS
        .iter()
        .filter_map(|server| {
            let values = values(results, scenario, server.name, metric);
            let (low, high) = (quantile(&values, 0.25)?, quantile(&values, 0.75)?);
            Some(Bar { name: server.name, low, middle: median(&values)?, high })
        })
        .collect();
    bars.sort_by(|a, b| a.middle.total_cmp(&b.middle));
    bars
}

fn picture(scenario: &Scenario, bars: &[Bar], svg: &mut String) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    let height = HEAD + ROW * bars.len() as i32 + 10;
    {
        let area = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let style = |size: i32, horizontal| {
            ("sans-serif", size).into_font().color(&TEXT).pos(Pos::new(horizontal, VPos::Center))
        };
        let write = |text: &str, at: (i32, i32), size, horizontal| {
            area.draw(&Text::new(text.to_owned(), at, style(size, horizontal))).map_err(|error| failed(&error))
        };

        let most = bars.iter().map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max);
        let least = bars.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
        // Where one is many times another, only a logarithm shows both.
        let is_wide = most / least > 12.0;
        let room = f64::from(WIDTH - NAMES - FIGURES);
        let x = |value: f64| {
            let share = if is_wide { (2.0 * value / least).ln() / (2.0 * most / least).ln() } else { value / most };
            NAMES + (share.max(0.0) * room).round() as i32
        };

        write(scenario.about, (12, 20), 17, HPos::Left)?;
        let unit = Metric::main(scenario).unit;
        let scale = if is_wide { ", logarithmic" } else { "" };
        write(&format!("{unit}{scale}; less is better"), (12, 44), 13, HPos::Left)?;
        for (index, bar) in bars.iter().enumerate() {
            let top = HEAD + ROW * index as i32;
            let middle = top + ROW / 2;
            let colour = match bar.name {
                "sockeye" => OURS,
                "floor" => BASE,
                _ => OTHERS,
            };
            write(bar.name, (NAMES - 8, middle), 13, HPos::Right)?;
            let corners = [(NAMES, top + 4), (x(bar.middle), top + ROW - 4)];
            area.draw(&Rectangle::new(corners, colour.filled())).map_err(|error| failed(&error))?;
            let range = vec![(x(bar.low), middle), (x(bar.high), middle)];
            area.draw(&PathElement::new(range, TEXT.stroke_width(1))).map_err(|error| failed(&error))?;
            write(&figure(bar.middle), (x(bar.high) + 6, middle), 13, HPos::Left)?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    // As any text file.
    let text: String = svg.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    *svg = text;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_names_every_server() {
        let bars = [("floor", 1.0), ("sockeye", 1.1), ("axum-plain", 49.0)].map(|(name, middle)| Bar {
            name,
            low: middle * 0.9,
            middle,
            high: middle * 1.1,
        });
        let mut svg = String::new();
        picture(&SCENARIOS[0], &bars, &mut svg).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in ["floor", "sockeye", "axum-plain", "49.0", "logarithmic"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
