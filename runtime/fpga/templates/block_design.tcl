# $title: vivado -mode batch -source build.tcl
# The processor system, one DMA for both streams, and the chip as the block of ip/.
set here [file dirname [file normalize [info script]]]
create_project -force $name $$here/project -part $part
set_property ip_repo_paths $$here/ip [current_project]
update_ip_catalog
create_bd_design system

set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
set_property -dict [list \
  CONFIG.PSU__USE__M_AXI_GP0 {1} CONFIG.PSU__USE__M_AXI_GP1 {0} CONFIG.PSU__USE__M_AXI_GP2 {0} \
  CONFIG.PSU__USE__S_AXI_GP2 {1} CONFIG.PSU__USE__IRQ0 {1} \
  CONFIG.PSU__FPGA_PL0_ENABLE {1} CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {100} \
] $$ps
set clocks [create_bd_cell -type ip -vlnv xilinx.com:ip:clk_wiz clocks]
set_property -dict [list CONFIG.PRIM_IN_FREQ {100} \
  CONFIG.CLKOUT1_REQUESTED_OUT_FREQ {$clock_mhz} CONFIG.RESET_TYPE {ACTIVE_LOW}] $$clocks
set resets [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset resets]
set dma [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma dma]
set_property -dict [list CONFIG.c_include_sg {0} CONFIG.c_sg_length_width {26} \
  CONFIG.c_m_axi_mm2s_data_width {64} CONFIG.c_m_axis_mm2s_tdata_width {64} \
  CONFIG.c_m_axi_s2mm_data_width {64} CONFIG.c_s_axis_s2mm_tdata_width {64}] $$dma
set chip [create_bd_cell -type ip -vlnv $vlnv chip]
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control]
set_property -dict [list CONFIG.NUM_SI {1} CONFIG.NUM_MI {2}] $$control
set memory [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory]
set_property -dict [list CONFIG.NUM_SI {2} CONFIG.NUM_MI {1}] $$memory
set interrupts [create_bd_cell -type ip -vlnv xilinx.com:ip:xlconcat interrupts]
set_property CONFIG.NUM_PORTS {3} $$interrupts

proc bus {from to} { connect_bd_intf_net [get_bd_intf_pins $$from] [get_bd_intf_pins $$to] }
proc wires {from args} {
  foreach to $$args { connect_bd_net [get_bd_pins $$from] [get_bd_pins $$to] }
}
bus ps/M_AXI_HPM0_FPD control/S00_AXI
bus control/M00_AXI chip/s_axil
bus control/M01_AXI dma/S_AXI_LITE
bus dma/M_AXIS_MM2S chip/s_axis
bus chip/m_axis dma/S_AXIS_S2MM
bus dma/M_AXI_MM2S memory/S00_AXI
bus dma/M_AXI_S2MM memory/S01_AXI
bus memory/M00_AXI ps/S_AXI_HP0_FPD
wires ps/pl_clk0 clocks/clk_in1 resets/slowest_sync_clk control/aclk memory/aclk chip/aclk \
  dma/s_axi_lite_aclk dma/m_axi_mm2s_aclk dma/m_axi_s2mm_aclk \
  ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk
wires ps/pl_resetn0 clocks/resetn resets/ext_reset_in
wires clocks/locked resets/dcm_locked
wires clocks/clk_out1 chip/chip_clk
wires resets/peripheral_aresetn control/aresetn memory/aresetn chip/aresetn dma/axi_resetn
wires chip/interrupt interrupts/In0
wires dma/mm2s_introut interrupts/In1
wires dma/s2mm_introut interrupts/In2
wires interrupts/dout ps/pl_ps_irq0
assign_bd_address
validate_bd_design
save_bd_design

set wrapper [make_wrapper -files [get_files system.bd] -top]
add_files -norecurse $$wrapper
add_files -fileset constrs_1 $$here/top.xdc
set_property top system_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream
wait_on_run impl_1
if {[get_property STATS.WNS [get_runs impl_1]] < 0} {
  error "the clock of $clock_mhz MHz is not met; build with a lower CLOCK"
}
file copy -force [lindex [glob $$here/project/$name.runs/impl_1/*.bit] 0] $$here/$name.bit
file copy -force \
  [lindex [glob $$here/project/$name.gen/sources_1/bd/system/hw_handoff/*.hwh] 0] $$here/$name.hwh
