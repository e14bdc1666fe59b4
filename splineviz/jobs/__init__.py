"""One checkpoint on one slice as a job, and many of them: planned, carried out anywhere, resumed, gathered, proved again."""
