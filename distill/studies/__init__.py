"""Many runs, or other things than a run, side by side. No study knows another."""
