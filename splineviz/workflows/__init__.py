"""One call each: animate, compare, tour, watch, monitor, study, reproduce. They join jobs and drawing."""
