"""The one-file HTML report of a run or of a comparison: no network, no scripts, light and dark.

report           the command: what is asked for, where it is written
page, style      the skeleton and its CSS
markup           Jinja templates (`templates/`), which escape all text
axes, line_chart, histogram, heat_map, interval_figure     pictures as inline SVG
run_facts        what a run folder holds
run_sections, curves, pair_section        a run in words, curves and pairs
results_file     reading a results file, and the best of a column
results_sections, class_parts             its tables and charts
feature_sections a map of frames, nearest neighbours
"""
