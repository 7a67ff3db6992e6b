"""Which methods help: each method as an arm of `kd.study.trial`, on tasks that differ in kind."""
