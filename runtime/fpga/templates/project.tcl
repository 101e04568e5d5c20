# $title: vivado -mode batch -source build.tcl
set here [file dirname [file normalize [info script]]]
create_project -in_memory -part $part
read_verilog [list $$here/top.v $$here/board_core.v $$here/chip.v $$here/node.v]
read_xdc $$here/top.xdc
synth_design -top top -part $part
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file $$here/utilization.txt
report_timing_summary -max_paths 10 -file $$here/timing.txt
if {[get_property SLACK [get_timing_paths -delay_type max]] < 0} {
  error "the clock of $clock_mhz MHz is not met, see timing.txt; build with a lower CLOCK"
}
write_bitstream -force $$here/$name.bit
