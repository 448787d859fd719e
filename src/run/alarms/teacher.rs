//! Alarms about a teacher outside: another model answers under the same name, or more is charged than was asked for.

use super::Lint;

impl Lint<'_> {
    pub(super) fn teacher(&mut self) {
        let teacher = &self.view.teacher;
        if let Some(change) = teacher.changes.last() {
            let (changes, versions) = (teacher.changes.len() as f64, teacher.versions.len());
            let says = format!(
                "the teacher's model changed from {} to {} ({versions} versions in all)",
                change.was, change.now
            );
            let advice = "Scores of two models are not one scale: name a dated model in teacher.model, or go back to before the change.";
            self.warn("teacher-changed", changes, 0.0, "all answers of the teacher".into(), says, advice);
        }
        let overruns = self.view.teacher.spending.overruns;
        if overruns > 0 {
            let says = format!("{overruns} calls to the teacher cost more than the length that was asked for allows");
            let advice = "The endpoint does not keep to max_tokens, so caps are only as good as its word: see doctor --endpoint.";
            self.warn("teacher-overrun", overruns as f64, 0.0, "all calls to the teacher".into(), says, advice);
        }
    }
}
