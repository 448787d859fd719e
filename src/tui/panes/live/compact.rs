//! Live where there is no room for frames: the numbers and what to do next.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::curves::Signal;
use crate::run::eta::eta;
use crate::run::event::Level;
use crate::run::ids::Stage;
use crate::tui::app::App;
use crate::tui::figures::{duration, fit, number, one_line, percent};
use crate::tui::panes::live::strips::bar;
use crate::tui::screen::lines;
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let view = app.view();
    let width = usize::from(area.width);
    let mut all: Vec<Line> = Vec::new();
    if let Some(span) = view.stage() {
        let share = if span.total == 0 { 0.0 } else { span.done as f64 / span.total as f64 };
        let eta = eta(view, app.moment());
        let left = |left: Option<crate::run::eta::Estimate>| left.map_or("?".into(), |left| duration(left.mid));
        let says = format!(" {} left {} / run {}", percent(share), left(eta.stage), left(eta.run));
        let room = width.saturating_sub(says.chars().count() + 1).min(20);
        all.push(Line::from(vec![
            Span::styled(format!(" {}", bar(share, room)), app.theme.style(Role::Good)),
            Span::raw(says),
        ]));
        let loss = match span.stage {
            Stage::Baseline | Stage::Sft => view.curves.get(span.model, Signal::SftLoss),
            _ => view.curves.iter().rev_find(|signal| matches!(signal, Signal::DpoLoss | Signal::RlooLoss)),
        };
        if let Some(value) = loss.and_then(|series| crate::tui::chart::value(series, &app.train.look)) {
            all.push(Line::from(format!(" loss {}", number(value, 3))));
        }
    }
    let evaluated = view.models.iter().rev().find_map(|model| Some((model.model, model.evaluated.as_ref()?)));
    if let Some((model, (_, evaluated))) = evaluated {
        let agreement = &evaluated.agreement;
        let half = agreement.pairwise_half.map_or("–".into(), percent);
        let share = |part: u32, of: u32| percent(f64::from(part) / f64::from(of.max(1)));
        let (unparsed, ties) = (share(agreement.unparsed, agreement.responses), share(agreement.ties, agreement.pairs));
        all.push(Line::from(fit(&format!(" {model} agrees {half} unparsed {unparsed} ties {ties}"), width)));
    }
    for alarm in view.alarms.values().filter(|alarm| alarm.acknowledged.is_none()) {
        let (mark, role) = if alarm.alarm.level == Level::Error { ("!!", Role::Error) } else { ("!", Role::Warn) };
        all.push(Line::from(vec![
            Span::styled(format!(" {mark} "), app.theme.style(role)),
            Span::raw(fit(&one_line(&alarm.alarm.says), width.saturating_sub(5))),
        ]));
    }
    if let Some(round) = view.round(view.iteration).filter(|_| view.open_gate().is_some()) {
        let check = round.check();
        let what = if round.iteration == 0 { "labels" } else { "pairs" };
        let says = format!(" {} {what} wait for a check (4)", check.offered - check.decided);
        all.push(Line::from(Span::styled(says, app.theme.style(Role::Human))));
    }
    if all.is_empty() {
        all.push(Line::from(fit(" nothing has begun yet", width)));
    }
    lines(frame, area, all);
}

/// The latest series of one signal.
trait Latest<'a> {
    fn rev_find(self, wanted: impl Fn(Signal) -> bool) -> Option<&'a crate::run::curves::Series>;
}

impl<'a, I> Latest<'a> for I
where
    I: Iterator<Item = (&'a (crate::run::ids::Model, Signal), &'a crate::run::curves::Series)>,
{
    fn rev_find(self, wanted: impl Fn(Signal) -> bool) -> Option<&'a crate::run::curves::Series> {
        self.filter(|((_, signal), _)| wanted(*signal)).last().map(|(_, series)| series)
    }
}
