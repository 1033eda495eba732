"""The one-file HTML report of a run or of a comparison: no network, light and dark.

report           the command
page, style      the skeleton and its CSS
markup           Jinja templates (`templates/`), which escape all text
script           what moves (`scripts/`), and the policy that lets only it run
axes, line_chart, histogram, heat_map, interval_figure     pictures as inline SVG
run_facts        the content of a run folder
run_sections, curves, pair_section        the sections of a run
results_file     reads a results file; columns of its table
results_sections, class_parts             its tables and charts
feature_sections a map of frames (its pictures: sprite_sheet), nearest neighbours
"""
